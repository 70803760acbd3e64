//! Eigenvalues and eigenvectors of small symmetric matrices.
