"""What may befall the program, as drills: `benchmarks/drills.py` runs them."""
