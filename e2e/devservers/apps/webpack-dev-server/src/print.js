export const text = 'Hello webpack';
