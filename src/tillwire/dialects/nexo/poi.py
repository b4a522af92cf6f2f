"""What one message is led to: the whole face, whatever the binding.

A binding reads octets from a till and calls

* `Poi.read(octets)`: what they are. It never raises on a peer's account. `Incoming.header` is what
  of the header could be read; `Incoming.is_rejected` says that it is no message at all (flat HTTP
  answers such with 400), and its answer will be an EventNotification.
* `await Poi.answer(incoming, outlet, poi_id=...)`: its one answer, which comes when the operation
  is done: a response, an EventNotification (Reject, or Completed after an Abort that came too
  late), or None where the protocol has no answer (Abort, Display without one, a till's own
  responses). Meanwhile `outlet.tell` gets DisplayRequests. A payment whose outcome is not known
  is not answered as long as that lasts; a binding that does not want to wait longer cancels the
  call, as it does when the till is gone: nothing is lost by it (`context.py`).

`poi_id` names the terminal that the binding speaks for, where it speaks for one: a header that
names another one is refused. `Poi.handle` is both steps in one. What comes out of `answer` beside
a message is `JournalError`-free, and any other exception is a defect of ours: the binding logs it
and says nothing of the payment (HTTP 500, silence on TCP).
"""
