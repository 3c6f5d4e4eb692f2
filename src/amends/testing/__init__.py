"""What tests of sagas, and of backends for Amends, stand on; public.

`assert_clean(saga)` is `amends check` as a test. `amends.testing.store_suite.StoreSuite` holds a store to its
protocol. Nothing here is imported by the rest of the package.
"""

from .checking import assert_clean

__all__ = ["assert_clean"]
