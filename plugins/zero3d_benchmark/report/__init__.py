"""What a benchmark tells: tables, pictures, a page."""
