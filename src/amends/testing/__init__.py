"""What tests of sagas, and of backends for Amends, stand on; public.

`amends.testing.store_suite.StoreSuite` holds a store to its protocol. Nothing here is imported by the
rest of the package.
"""
