"""The stable codes of what can be wrong with a command line.

Where and what, AM250x and AM251x
    AM2501  pyproject.toml cannot be read, or says what cannot be
    AM2502  a store in memory, which would end with the command
    AM2510  no app is named
    AM2511  an app is not written as module:object
    AM2512  the app's module has no such object
    AM2513  there is no such module
    AM2514  the app holds no saga, or something that is none
    AM2515  the app's own code raised while it was loaded
    AM2516  a module ends the process when it is imported
    AM2517  importing a module would run it
    AM2518  a file is no Python module
    AM2519  a baseline cannot be read or written, or none is named
Arguments, AM252x
    AM2520  a correlation is not written as name=value
    AM2521  a limit below 1
    AM2522  an argument is no JSON
    AM2523  the input is not what the saga takes
    AM2524  neither ids nor a filter are given, or both; or a limit without a filter
    AM2525  a verb has too few or too many words
    AM2526  a form that the model check does not have, or a baseline
The demo, AM253x
    AM2530  the shop is not part of the installed package
    AM2531  a package that the shop needs is missing
Checking, AM254x
    AM2540  there is no rule of that id
Verifying, AM257x (those up to AM2575 are of `testing/exploring`)
    AM2570  a case has no input, or holds what cannot be used
    AM2571  a text is no scenario, or one of another case
    AM2572  atomic steps, and the case makes no connection
    AM2573  a depth that cannot be
    AM2574  what is to be resumed is another exploration, or cannot be read or written
    AM2575  a regression file is about something else, or cannot be read or written
    AM2576  a number of processes or seconds that cannot be
    AM2577  a target names no saga, or not one; or no case
    AM2578  a scenario's faults do not come about
The testing kit, AM258x
    AM2580  a participant's address is asked for before it is started
    AM2581  no strategy makes a type, or a field is not there
Looking, AM255x
    AM2550  an option is no length of time
    AM2551  a bundle cannot be read
    AM2552  a bundle is too large to be one
    AM2553  following prints lines, and one JSON value was asked for
    AM2554  a bundle's file is there already, or cannot be written
    AM2555  no definition is named to be drawn, or another one than the saga's
    AM2556  a definition and its rollback table: one has no such form, or nothing that the other has
    AM3009  neither the store nor the app has this definition
Keeping, AM256x
    AM2560  migrate: two ways of looking at once
    AM4010  a worker runs that the command would keep from writing
Store, AM605x
    AM6051  there is no such store

Rule of this file: that of `core/codes.py`. A code is given out once.
"""
