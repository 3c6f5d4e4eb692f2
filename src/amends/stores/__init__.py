"""Where journals live. `base` is the protocol; `memory` and `sqlite` implement it.

Rules of this package: no decisions about sagas here, only rows; SQL stands in named `.sql` files;
time is an argument; a driver's exception never leaves. `runtime` imports this; `core` never does.
"""
