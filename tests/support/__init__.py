"""What tests stand on: real servers, a small town, workers that stop where they are told."""
