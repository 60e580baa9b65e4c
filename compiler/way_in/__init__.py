"""From a module of torch to an architecture in the language: trace, operators of `std`, term, text."""
