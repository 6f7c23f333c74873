# SPDX-License-Identifier: ISC
"""What the system tests stand on: a throwaway PostgreSQL, the proxy under test, a raw protocol client."""
