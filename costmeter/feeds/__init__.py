"""Other people's servers: live prices and carbon as dated CSV files, and what a cloud's metadata service says."""
