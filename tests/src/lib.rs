//! Whole-system tests: conformance, kill -9, end to end in a real browser.
