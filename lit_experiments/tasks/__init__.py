"""What every train and analyze task shares: opening and checking a store, resampling, results, pages."""
