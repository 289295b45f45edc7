"""A stand-in for Reddit's API with known ground truth: what it says is a pure function of a seed and a clock."""
