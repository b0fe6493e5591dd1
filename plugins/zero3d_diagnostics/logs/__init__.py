"""A run's figures in other programs: TensorBoard, Weights & Biases, spreadsheets."""
