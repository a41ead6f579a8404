//! Accepting a request: the row, the task, the reservation and the event are there together, or not.
