"""From a prompt to what a U-Net attends to: texts for each direction of view, embeddings, caches, tokens of one's
own."""
