"""Who somebody is, and how they prove it: keys, credential chains, what a mesh trusts."""
