"""Certificate Manager: certificates by an authority that stands for the public ones."""
