"""One module per revision. There is no way back."""
