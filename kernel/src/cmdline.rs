//! The kernel command line: one typed table of parameters.
