"""The stable codes of what can be wrong with a call of the orchestrator, or with what it reads.

Verbs and arguments, AM201x
    AM2010  `resolve` is given an outcome that is none
    AM2011  `resolve` says "done" of a step whose result is read, without giving it
    AM2012  a command of the inbox cannot be applied
    AM2013  a reason or an actor is missing, too long, or no plain text
    AM2014  a start key is empty, too long, or no plain text
    AM2015  a signal's id is too long, or no plain text
    AM2016  a correlation has too many entries, or one that is no short text
    AM2017  a list asks for a status that there is not
    AM2018  a count is grouped by what is no field to group by
Orchestrator, AM202x
    AM2020  a setting is out of range
    AM2021  the orchestrator is not open
    AM2022  a saga is started that the orchestrator was not given
    AM2023  something among the definitions is no `Saga`
    AM2024  a resource is missing, or several fit
    AM2025  there is no such setting
    AM2026  a past moment has no time zone
    AM2028  atomic steps, and a store without a database that they could write to
Bulk, AM204x
    AM2040  a verb over a filter would act upon more sagas than are acted upon without a limit
    AM2041  a verb over a filter is given one that fits every saga
    AM2042  a bulk's limit is below 1
    AM2043  a bulk's verb is none, or its words are not its own
    AM2044  a bulk is given ids and a filter
Not found, AM300x
    AM3002  the store has no saga of this id
    AM3010  the saga was pruned; the message says when, and how it had ended
    AM3003  the saga has no step of this path
    AM3004  the saga waits for no signal of this name
    AM3005  the saga's definition is neither registered nor stored
    AM3006  no definition of this name is registered
Held, AM400x
    AM4003  the saga is on hold and cannot be moved
Store, AM60xx (those of one backend stand there)
    AM6020  the committer broke: a defect
    AM6040  a journal does not begin with a start
    AM6041  a frame is damaged, does not follow from those before it, or was written by a newer release

Rule of this file: that of `core/codes.py`. A code is given out once.
"""
