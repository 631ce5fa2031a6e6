"""The visible loops: phases, batches, the optimiser."""
