"""What a run is made of while it lasts: its pictures, its subject, its session; and models opened again from its folder."""
