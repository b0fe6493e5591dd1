"""Google Scanned Objects: Fuel's models, and the copies that papers rendered."""
