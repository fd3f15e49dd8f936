"""What probes of labels are compared with: splits by content, surface and output models, random states."""
