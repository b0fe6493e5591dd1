"""A page: its HTML, its pictures as data, its plots as SVG."""
