"""A shop of five services, driven by one saga: the main job of `amends demo`.

catalogue, model, orders   the world the shop opens with, an order, and files of orders
services/                  order, payment, inventory, shipping, notification: a process and a database each
saga, worker               the orchestrator's side
supervisor, clerk          what happens to them: kills, restarts, and people who act on their own
audit                      proves conservation from the five databases alone
operator                   ends what needs a person, with the real verbs
demo                       all of it together
"""
