//! The Esplora REST API.
