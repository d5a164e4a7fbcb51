"""A package, so that its fixtures end with its last test: Playwright's event loop must not run under others."""
