"""Where raw material comes from: sample corpora through package managers, and archives read safely."""
