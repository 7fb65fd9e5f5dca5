//! A provider plugin.
