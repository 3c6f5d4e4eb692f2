"""The stable codes of everything that can be wrong with a definition or a payload.

Structure, AM11xx
    AM1101  a saga, step or wait has a name that is no path
    AM1103  there is no node where one is needed
    AM1104  something stands in the graph that is no node
    AM1105  a path is used twice
    AM1106  one step stands twice in the graph
    AM1107  the graph is too deep or too large
    AM1108  a function cannot serve as step, compensation, probe, predicate or duration
    AM1109  a step has two compensations, or two probes
    AM1110  a compensation or probe came after its step stood in a saga
    AM1111  a follow-up is no step
    AM1112  `result=` names a step that the saga does not run
    AM1113  `wait_for` has `on_timeout` nodes and no timeout
    AM1114  a path has too many characters
    AM1150  an orchestrator is given two definitions of one name and version
Wiring, AM12xx
    AM1201  nothing fits a parameter
    AM1202  several earlier results fit a parameter
    AM1203  the context is not annotated
    AM1204  two parameters of one function take the input
    AM1205  a parameter bears the name of a step that is not earlier
    AM1206  a result may be missing, and the parameter does not take None
    AM1207  a parameter bears a step's name and has another type
    AM1208  an annotation does not resolve
    AM1209  a type cannot be stored
    AM1210  a predicate or duration asks for the context
    AM1211  a resource is no class, no checkable Protocol, declared twice, or has the input's type
    AM1212  a call's input is not of the called saga's type
    AM1213  the alternatives of a first_of give different types
    AM1214  an each's `item=` is not what its items' function returns a list of
    AM1215  two waits for signals of one name have different types
    AM1220  a function that is not atomic asks for the store's connection
    AM1221  an atomic step does not ask for the store's connection
Pivot, AM13xx
    AM1301  two pivots on one path
    AM1302  a pivot below the top level
    AM1303  a step after the pivot that could turn the saga back
    AM1304  a retriable step that no path reaches through a pivot
    AM1305  a wait after the pivot whose timeout would turn the saga back
    AM1306  a pivot among the follow-ups
Options, AM14xx
    AM1401  a length of time is no duration, or not above zero
    AM1402  an option has the wrong type
    AM1403  `on_unknown` is none of its three values
    AM1404  options that contradict each other
    AM1405  a read-only step has something to undo or to probe
    AM1410  an atomic function is a coroutine function
    AM1411  an atomic step has a probe
Calls, AM20xx (those of the runtime stand there)
    AM2001  a length of time is no duration
    AM2002  a `Retry` has a value out of range
    AM2003  a header would hold a control character
    AM2004  a saga waits for no signal of that name
    AM2005  an `Accepted` names no function that could be found again
    AM2006  nothing fits a parameter of a poll
    AM2007  what gives the items of an each gives no list, or too many
    AM2008  a function that is no `async def` returned a coroutine, which nobody would run
Filters, AM203x
    AM2030  FilterError  a text, or a part of it, is no term
    AM2031  FilterError  there is no such field, and the name is too near to one to be a correlation key
    AM2032  FilterError  a field never has this value
    AM2033  FilterError  a quote is not closed, or a backslash escapes nothing
    AM2034  FilterError  a field does not take this operator
    AM2035  FilterError  the text, its terms or its values are over their limit
Payloads, AM21xx
    AM2101  a value has a type that cannot be stored
    AM2102  a float is not finite
    AM2103  a dictionary's keys would come back as text
    AM2104  a text is no valid Unicode
    AM2105  a value is nested too deeply
    AM2106  a value is over PAYLOAD_BYTES_MAX
    AM2107  a value is not of the declared type
    AM2108  stored JSON does not decode as the declared type
    AM2109  a result is missing where a function cannot take None
    AM2110  a value would come back changed: a private attribute, an excluded field, a validator
    AM2111  plain JSON looks like an encrypted payload
    AM2112  an encrypted payload, and its key is not here
    AM2113  an encrypted payload does not open: another key, tampered with, or moved from elsewhere
    AM2114  a key ring, a key or AMENDS_KEYS that cannot be (`amends.crypto`)

Rule of this file: a code is given out once. Its meaning may be said better, never changed.
"""
