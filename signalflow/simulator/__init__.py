"""A stand-in for Reddit's API with known ground truth: its answers are a pure function of a seed and a clock."""
