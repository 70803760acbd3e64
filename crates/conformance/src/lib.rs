//! The suite that every engine passes: cases, tolerances, goldens.
