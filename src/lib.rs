//! siskin
