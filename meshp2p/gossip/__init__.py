"""Who is in the mesh, and who of them is alive: SWIM over records that only owners sign."""
