"""The files that `costmeter export` writes: as they stand in files/, in USD, and rendered for whoever asks."""
