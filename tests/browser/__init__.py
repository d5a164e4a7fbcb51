"""A package, so that its fixtures end with its last test: else Playwright's event loop runs under others."""
