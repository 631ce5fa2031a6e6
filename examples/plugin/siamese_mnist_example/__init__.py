"""Parts for siamese-mnist."""
