class NanoDenoiser: pass
