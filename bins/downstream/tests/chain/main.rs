//! The site's program by itself.

mod configuration;
