//! Parameters in files: safetensors, written beside, synced, renamed.
