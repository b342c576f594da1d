//! The HTTP registry and its page.
