//! Models that ollama has on this disk, used without a copy.
