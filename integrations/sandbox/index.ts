export { type AutotaskSandbox, startAutotaskSandbox } from './autotask/sandbox.ts';
export { type ConnectWiseSandbox, startConnectWiseSandbox } from './connectwise/sandbox.ts';
