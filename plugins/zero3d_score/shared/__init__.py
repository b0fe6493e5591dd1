"""What the algorithms share: noise levels and noise, named predictions combined, hops between levels, options."""
