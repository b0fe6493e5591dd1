"""From a field to a closed surface: where it ends, its triangles, what is cleaned of them."""
