"""A proven connection to MijnOverheid Lopende zaken over Digikoppeling ebMS2, made from one inventory."""
