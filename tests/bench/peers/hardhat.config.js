// `hardhat node` wants a project: this is all of it.
export default {};
