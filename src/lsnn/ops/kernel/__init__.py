"""The loops of the compiled kernel, and what they need: from vectors of lanes (simd) up to one call (job)."""
